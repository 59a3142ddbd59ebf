use "circle_a.upc"

block b() {
  relu()
}
