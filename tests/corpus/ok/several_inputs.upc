# A picture and a vector go in, two pictures and a code come out.
net several_inputs {
  input picture: [8, 6, 3]
  conv2d(4, 3, padding=same, activation=relu) as features
  input style: [5]
  dense(8 * 6 * 4)
  reshape(8, 6, 4)
  add(features) as mixed
  conv2d(3, 1, activation=sigmoid)
  output styled
  from mixed { global_average_pooling2d() } as code
  output code, features
}
