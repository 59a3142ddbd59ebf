use "shared.upc"

block up(filters) {
  up_sampling2d(2)
  normalized(filters)
}
