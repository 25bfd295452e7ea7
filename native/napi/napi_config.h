#pragma once
// NAPI_VERSION and the exception switches come from the build files; this header is the one place that includes
// node-addon-api.
#include <napi.h>

#include "../base/job.h"
#include "../base/pool.h"
