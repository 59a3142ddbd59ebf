use "parts/blocks.upc"

block halve() {
  max_pooling2d(2)
}

net n {
  input x: [8, 6, 3]
  halve()
  output y
}
