use "parts/blocks.upc"

net n {
  input x: [8, 6, 3]
  widen("a")
  output y
}
