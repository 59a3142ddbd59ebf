net lambda {
  input class: [8]
  relu() as del
  output yield
}
