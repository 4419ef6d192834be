// What a device knows of itself, as conditions ask it. Each looks once, and may block as long as the file system or a driver
// does: on a thread, by FunctionProbe. What cannot be told closes the gate.
#pragma once

#include <ifaddrs.h>

#include <cstdint>
#include <string>

#include "platform/probe.h"

namespace hf {

// `root`: the folder that stands for /; "": / itself.

// On other power than a battery's: something of type Mains or USB is online, or there is neither a battery nor a mains supply.
ProbeAnswer look_power_mains(const std::string& root);
// The lowest charge of the device's own batteries; without one it is open.
ProbeAnswer look_battery(const std::string& root, int percent);
// The hottest thermal zone, or of those of type `zone`; "": of all.
ProbeAnswer look_temperature(const std::string& root, double degrees, const std::string& zone);
// Of the last minute.
ProbeAnswer look_load(const std::string& root, double load);
// Of what a user who is not root may write to.
ProbeAnswer look_free_space(const std::string& root, const std::string& path, int64_t bytes);
// An interface other than loopback that is up and running has an address that is not link-local.
ProbeAnswer look_network(const ifaddrs* interfaces);
ProbeAnswer look_network();

}  // namespace hf
