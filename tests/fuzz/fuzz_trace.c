/* SPDX-License-Identifier: MIT */
/* libFuzzer's way into trace files: make fuzz, then build/fuzz/trace FOLDER -max_total_time=600 */
#include "trace_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input_try(data, size);
	return 0;
}
