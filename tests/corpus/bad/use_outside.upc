use "../ok/unet.upc"
use "/etc/passwd.upc"
use "parts/blocks.txt"
use "C:\\blocks.upc"

net n {
  input x: [8, 6, 3]
  relu()
  output y
}
