// SPDX-License-Identifier: Apache-2.0
#pragma once

extern "C" {
/// What main() does; ends as the program ends.
int kqbench_main(int argc, char** argv);
}
