use "circle_b.upc"

block a() {
  relu()
}
