// A library whose destructor is among the last of a process to run.
#pragma once

// What it does, at most one of: forks, and each child allocates; frees a block twice, with another
// in between. Prints a line when that is done.
extern "C" const char* at_unload;
