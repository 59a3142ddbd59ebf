block stage(filters, depth) {
  repeat depth { conv2d(filters, 3, padding=same, activation=relu) }
  max_pooling2d(2)
}

net repeats(depth=2, none_at_all=0) {
  input x: [32, 24, 3]
  repeat i in 1..3 { stage(2 ** i, depth) } as features
  repeat i in depth..depth + 1 {
    repeat j in 0..1 {
      conv2d(i + j, 1)
      relu() as inner
      add(inner)
    }
  }
  repeat none_at_all { dense(1) }
  repeat i in 1..none_at_all { dense(i) }
  output y
}
