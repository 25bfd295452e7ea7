#pragma once
#include <string>

#include "napi_config.h"

namespace dc {

// A JavaScript error whose `code` is "ERR_DC_" + the status' name.
inline Napi::Error coded_error(Napi::Env env, Status status, const char* message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, std::string("ERR_DC_") + status_name(status)));
  return error;
}

}  // namespace dc
