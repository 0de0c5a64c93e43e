// Which instruction sets this processor runs, and which one is used.
#pragma once
#include <string>
#include <vector>

#include "arguments.h"

std::vector<const Kernels*> runnable();           // best first
const Kernels& chosen();                          // the best, or what CONVLENS_ISA names
const Kernels& kernels_named(const std::string&); // runnable here, or Invalid
