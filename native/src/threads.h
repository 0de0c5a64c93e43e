// Helpers of the process: they sleep until a program asks for them, and are made anew after a fork.
#pragma once
#include <functional>

// Calls `work` on this thread and, as far as they are idle, on up to `helpers` others; returns when all have returned from it.
// The work must not need the helpers: they may come late, or not at all.
void with_helpers(int helpers, const std::function<void(int)>& work);
