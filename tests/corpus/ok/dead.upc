# The pooled branch and the second input are used by nothing; the branch leaves no weights.
block idle(filters, unused=1) {
  from_here(filters)
}

block from_here(filters) {
  as start
  from start {
    conv2d(filters, 3)
    relu()
  }
  tanh()
}

net dead(ignored=3) {
  input x: [8, 8, 1]
  idle(2)
  idle(3) as kept
  max_pooling2d(2)
  conv2d(1, 1)
  input spare: [4]
  output kept
}
