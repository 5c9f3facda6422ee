#include "rpc/grpc_locks.h"

#include <dlfcn.h>
#include <stddef.h>

/* absl::SetMutexDeadlockDetectionMode(OnDeadlockCycle::kIgnore): there is no C for it, so it goes by the name that C++ gives it. */
#define SET_MODE "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE"
#define IGNORE 0

bool grpc_locks_relax(void)
{
	void (*set_mode)(int mode) = (void (*)(int mode))dlsym(RTLD_DEFAULT, SET_MODE);

	if (set_mode)
		set_mode(IGNORE);
	return set_mode != NULL;
}
