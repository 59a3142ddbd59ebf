# Names that mean something in Python, in PyTorch or in Keras.
block forward(training, int) {
  conv2d(training, 3, padding=same)
  batch_normalization()
  as nn
  conv2d(int, 1)
  concatenate(nn)
}

block double(layers) {
  as start
  conv2d(layers, 1, use_bias=false)
  conv2d(3, 1)
  from start { conv2d(3, 1) } as ops
  add(ops)
}

block f(torch) {
  instance_normalization()
  conv2d(torch, 1)
}

block tensor(state_dict) {
  dropout(0.5)
  dense(state_dict)
}

net stack {
  input self: [6, 5, 3]
  forward(4, 2) as keras
  double(4) as list
  double(5) as torch
  concatenate(keras, torch) as print
  f(3)
  f(4)
  tensor(3)
  tensor(2) as x
  add(1.5) as y
  multiply(x) as z
  subtract(y) as stack_
  concatenate(list, z) as math
  concatenate(print) as name
  flatten()
  input dense: [3]
  dense(4) as result
  output math, result
}
