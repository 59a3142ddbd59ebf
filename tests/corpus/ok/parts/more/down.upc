use "../shared.upc"

block down(filters) {
  normalized(filters)
  max_pooling2d(2)
}
