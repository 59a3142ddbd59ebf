"""The records that kernels read: what each cell of them says. The host writes them by these names.

A record is a run of int64 cells: of a job, which a call fills in, or of the table, which belongs to a geometry. The
name of the last line of each is how many cells it has. Addresses count bytes; all else counts floats or cells.
"""

from __future__ import annotations

# A gate, which a team's threads watch, and a job, which begins as one. A cache line of 8 cells for each field.
OPEN = 0  # odd while there is work
ACTIVE = 8  # threads that are at it
JOB = 16  # address of the job
HEADER = 24

# A job, after that.
ARENA = 24  # address of the network's memory
WEIGHTS = 25  # address of the packed weights
TABLE = 26  # address of the table
BATCH = 27  # images of this run
CHUNK = 28  # images that are taken through all steps together
ROUNDS = 29  # runs of a step in a chunk, over all steps
COUNTERS = 30  # where the counters start
STAMPS = 31  # address of the clock's readings, or 0
EXTERNALS = 32  # of every array of the caller's its address, and floats of an image
PAIR = 16  # cells from one run's counters to the next's: tasks taken, and in the next cache line tasks finished

# The table: how many segments there are, then each of them, then each step.
G_IMAGES = 0  # images of a turn
G_STEPS = 1  # its first step
G_END = 2  # the first step of the next
SEGMENT = 3

S_KIND = 0  # which function of the driver's does it: one of the next three
S_SECTIONS = 1  # where its sections are listed, one a turn
S_SOURCE = 2  # which of the caller's arrays it reads, or -1
S_TARGET = 3  # which of them it makes, or -1
STEP = 4

CONVOLUTION = 0
FILTERING = 1
ROWS = 2

# What `clear_rim` reads of a buffer.
RIM_START = 0  # where the first image starts, its rim included
RIM_IMAGE = 1  # floats of an image
RIM_ROW = 2  # floats of a row
RIM_TOP = 3  # rows above
RIM_HEIGHT = 4  # rows of the picture
RIM_BOTTOM = 5  # rows below
RIM_LEFT = 6  # floats to the left
RIM_WIDTH = 7  # floats of a row of the picture
RIM_RIGHT = 8  # floats to the right
RIM_CELLS = 9

# The section of a step that is done row by row. Views are (start, floats of an image, of a row, of a pixel).
R_TASKS = 0
R_WORK = 1  # where the tasks are listed: first image, end, first row, end
R_RIM = 2  # where the rim to clear is described, or -1
R_KERNEL = 3  # address
R_SOURCE = 4  # a view
R_TARGET = 8  # a view
R_A = 12  # a view: the first operand
R_B = 16  # a view: the second operand
R_OWN = 20  # what the kernel alone knows

# The section of a phase convolution. What its tasks and tiles are follows from a few numbers, so that the table is as
# small for a large picture as for a small one.
TASKS = 0
SOURCE = 1  # where the first pixel is
SOURCE_IMAGE = 2  # floats of an image
TARGET = 3
TARGET_IMAGE = 4
A = 5  # the first operand
A_IMAGE = 6
B = 7  # the second operand
B_IMAGE = 8
SOURCE_DOWN = 9  # floats from a tile to the one below
SOURCE_ACROSS = 10  # floats from a tile to the one on its right
TARGET_DOWN = 11
TARGET_ACROSS = 12
A_DOWN = 13
A_ACROSS = 14
B_DOWN = 15
B_ACROSS = 16
PANELS = 17  # where the panels are listed
PANEL_COUNT = 18
GRIDS = 19  # where the sizes of phases are listed
TAPS = 20  # where the offsets of taps are listed
CHUNKS = 21  # parts that the rows of tiles are split into
PARTS = 22  # parts that the panels are split into
GROUP = 23  # images of a task
RIM = 24  # where the rim to clear is described, or -1
KERNEL = 25  # address
PATCH_IMAGES = 26  # images of a tile
PATCH_ROWS = 27
PATCH_COLUMNS = 28
SECTION = 29

# A panel: a vector or more of a phase's channels.
P_WEIGHTS = 0  # where they are packed
P_PARAMS = 1  # where its channels' numbers are packed
P_TARGET = 2  # floats from the target's first pixel
P_SOURCE = 3  # floats from the source's: the group's first channel
P_TAP = 4  # its first tap
P_TAP_END = 5
P_DEPTH = 6  # floats that a tap reads
P_GRID = 7  # which of the sizes its phase has
P_COUNT = 8  # channels
P_A = 9  # floats from the first operand's first pixel
P_B = 10
PANEL = 11

GRID_ROWS = 0  # pixels of a phase
GRID_COLUMNS = 1
GRID = 2

# The section of a filtering.
F_TASKS = 0  # the most side by side
F_EVALUATIONS = 1  # tasks of a portion's first stage
F_PRODUCTS = 2  # of its second
F_READINGS = 3  # of its third
F_DOWN = 4  # rows of patches in an image
F_ACROSS = 5  # patches in a row
F_PORTION = 6  # rows of patches in a portion
F_RIM = 7  # where the rim to clear is described, or -1
F_EVALUATE = 8  # addresses of the kernels
F_MULTIPLY = 9
F_READ = 10
F_MEND = 11
F_SOURCE = 12  # where the first patch is
F_SOURCE_IMAGE = 13  # floats of an image
F_SOURCE_PATCH = 14  # floats from a row of patches to the next
F_SOURCE_ROW = 15  # floats of a row
F_VALUES = 16  # where the values at points are put
F_VALUES_PITCH = 17  # floats of a patch
F_VALUES_PLANE = 18  # floats from a pair of points to the next
F_MADE = 19  # where the products are put
F_MADE_BLOCK = 20  # floats from a block of channels to the next
F_MADE_PLANE = 21  # floats from a pair of points to the next
F_TARGET = 22
F_TARGET_IMAGE = 23
F_TARGET_ROW = 24
F_A = 25  # the first operand
F_A_IMAGE = 26
F_A_ROW = 27
F_B = 28  # the second operand
F_B_IMAGE = 29
F_B_ROW = 30
F_HEIGHT = 31  # of the target
F_WIDTH = 32
F_PARAMS = 33  # where the channels' numbers are packed
F_PANELS = 34  # where the panels are listed
F_PANEL_COUNT = 35
F_DEPTH = 36  # channels of one sum
F_WIDE = 37  # channels of a block
F_DIRECT = 38  # where the phases' own kernels are listed
F_INPUTS = 39  # channels of the source
F_SKIPS = 40  # of each phase of rows, then of columns, the first pixels that are not wanted

# A panel of a filtering: a block of channels of a phase at a pair of points.
Q_WEIGHTS = 0  # where it is packed
Q_VALUES = 1  # where the values it is multiplied with are
Q_MADE = 2  # where the products go
Q_PANEL = 3

# A phase's own kernel, by which `mend_patch` makes what came out wrong.
D_WEIGHTS = 0  # where it is packed
D_TAPS = 1  # where the offsets of its taps are listed
D_TAPS_END = 2
D_BLOCK = 3  # floats from the weights of a block of channels to the next's
DIRECT = 4
