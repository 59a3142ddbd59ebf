use "parts/up.upc"
use "./parts/more/down.upc"

net used(width=8) {
  input x: [8, 8, 3]
  down(width)
  up(width / 2)
  output y
}
