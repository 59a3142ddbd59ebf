#  comments at the head

use "parts/up.upc"  # brought in

block pad(size=2, filters=4) {  # what it does
  # first of all

  as start  # what comes in
  zero_padding2d(size)

  # before the convolution
  conv2d(
    filters,
    3,  # filters, then the kernel
    strides=2,
    # the usual
    padding=same,
  ) as small  # after
  from start { relu() }
  # at the end of the body
}

# tabs and all
net loose(width=2 * (3 + 4), half=width / 2, power=(-2) ** 2 ** 1) {
  input x: [8, 8, 3]
  conv2d(width, 1)  # two on a line
  repeat i in 1..2 { pad(i) }
  repeat 2 {
    relu()
    tanh()
  }
  repeat 0 { }
  repeat i in 1..2 {  # why
    dense(power - (i - 1) - 1)
  }
  conv2d(
    half,
    kernel_size=1,
    strides=1,
    padding=same,
    dilation_rate=1,
    groups=1,
    activation=relu,
    use_bias=true,
    kernel_initializer=he_uniform,
  )
  up(3)
  output y
}  # done
# the end
