net use(width=8) {
  input x: [8]
  conv(3)
  output y
}

net good {
  input x: [8]
  dense(8 8)
  output y
}
