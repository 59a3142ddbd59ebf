use "parts/circle_a.upc"

net n {
  input x: [8, 6, 3]
  relu()
  output y
}
