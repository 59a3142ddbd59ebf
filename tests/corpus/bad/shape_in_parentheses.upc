# What was written comes back as a list.
net n {
  input x: (8, 9, 3)
  relu()
  output y
}
