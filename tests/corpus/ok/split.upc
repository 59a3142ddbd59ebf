net split {
  input x: [4, 6, 6]
  split(3) as a, b, c
  tanh()
  multiply(b)
  concatenate(c) as gated
  from b { slice(0, 1) } as first
  output gated, first, a
}
