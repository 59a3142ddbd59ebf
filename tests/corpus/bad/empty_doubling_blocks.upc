block b0() {
  b1()
  b1()
}

block b1() {
  b2()
  b2()
}

block b2() {
  b3()
  b3()
}

block b3() {
  b4()
  b4()
}

block b4() {
  b5()
  b5()
}

block b5() {
  b6()
  b6()
}

block b6() {
  b7()
  b7()
}

block b7() {
  b8()
  b8()
}

block b8() {
  b9()
  b9()
}

block b9() {
  b10()
  b10()
}

block b10() {
  b11()
  b11()
}

block b11() {
  b12()
  b12()
}

block b12() {
  b13()
  b13()
}

block b13() {
  b14()
  b14()
}

block b14() {
  b15()
  b15()
}

block b15() {
  b16()
  b16()
}

block b16() {
  b17()
  b17()
}

block b17() {
  b18()
  b18()
}

block b18() {
  b19()
  b19()
}

block b19() {
  b20()
  b20()
}

block b20() { }

net n {
  input x: [8, 6, 3]
  relu()
  b0()
  output y
}
