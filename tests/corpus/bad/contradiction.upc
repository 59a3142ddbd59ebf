net n {
  input x: [H, W, 3]
  max_pooling2d(2)
  up_sampling2d(2) as even
  add(x) as y
  from x { zero_padding2d([[0, 1], [0, 0]]) } as longer
  from longer {
    max_pooling2d([2, 1])
    up_sampling2d([2, 1])
    add(longer)
  } as odd
  output y, odd
}
