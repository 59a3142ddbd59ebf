# Loops and blocks whose words would hide one another if the emitted source were careless.
block filters(filters, name) {
  repeat i in 1..2 { conv2d(filters * i, 3, padding=same) }
  conv2d(filters, kernel_size=1)
  repeat i in 1..2 { conv2d(name, 1) }
}

block units(x, keras) {
  dense(x, activation=tanh)
  filters(keras, 3)
}

net shadows {
  input x: [4, 5, 3]
  conv2d(4, 3, padding=same) as filters
  repeat i in 1..2 {
    repeat j in 1..2 { conv2d(4 + i * j, 1) }
    dense(i + 3)
  }
  filters(5, 6)
  units(2, keras=3)
  units(4, keras=5)
  conv2d(4, 1)
  repeat i in 1..2 { add(filters) conv2d(4 + i, 1) conv2d(4, 1) }
  output y
}
