#include "platform/net/dns.h"

#include <netdb.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "platform/memory.h"

namespace hf {

struct Resolver::Lookup {
  // Between the loop and the thread, one after the other: written by `work`, read by `done`.
  struct Answer {
    int code = 0;
    std::vector<Address> addresses;
  };

  LookupId id;
  std::string host;
  uint16_t port;
  ResolvedFn on_done;
  BlockingPool::TaskId task = 0;        // 0: none
  Resolved ready;                       // the answer, when no thread is needed
  std::unique_ptr<LoopTimer> deadline;  // or "now", when the answer is ready
};

namespace {

NetError lookup_error(const std::string& host, int code) {
  if (code == EAI_NONAME)
    return net_error(NetErrorKind::kDns, "the name " + host + " does not exist");
  return net_error(NetErrorKind::kDns, "the name " + host + " does not resolve: " + gai_strerror(code));
}

}  // namespace

LookupFn system_lookup() {
  return [](const std::string& host, std::vector<Address>* out) {
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    // No AI_ADDRCONFIG: it hides the addresses of a host of this machine when the link is down.
    addrinfo* list = nullptr;
    const int code = getaddrinfo(host.c_str(), nullptr, &hints, &list);
    if (code != 0) return code;
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> own(list, freeaddrinfo);
    for (const addrinfo* it = list; it && out->size() < kAddressesMax; it = it->ai_next)
      if (const auto address = Address::from(it->ai_addr, 0)) out->push_back(*address);
    return out->empty() ? EAI_NONAME : 0;
  };
}

Resolver::Resolver(uv_loop_t* loop, HandleCountPtr handles, ResolverOptions options)
    : loop_(loop),
      handles_(std::move(handles)),
      lookup_(std::move(options.lookup)),
      threads_(loop, handles_, options.threads) {}

Resolver::~Resolver() = default;

Resolver::LookupId Resolver::resolve(const std::string& host, uint16_t port, int64_t deadline_ms,
                                     ResolvedFn on_done) {
  const LookupId id = ++last_id_;
  auto lookup = std::make_unique<Lookup>();
  lookup->id = id;
  lookup->host = host;
  lookup->port = port;
  lookup->on_done = std::move(on_done);

  int64_t delay_ms = deadline_ms;
  if (const auto literal = parse_ip(host, port)) {
    lookup->ready.addresses.push_back(*literal);
    delay_ms = 0;
  } else {
    auto answer = std::make_shared<Lookup::Answer>();
    const auto task = threads_.submit(
        [answer, host, lookup = lookup_] {
          if (!guarded([&] { answer->code = lookup(host, &answer->addresses); })) answer->code = EAI_MEMORY;
        },
        [this, id, answer] {
          const auto asked = lookups_.find(id);
          if (asked == lookups_.end()) return;  // resolve() ran out of memory after this was on its way
          asked->second->task = 0;
          Resolved resolved;
          resolved.addresses = std::move(answer->addresses);
          if (answer->code != 0 || resolved.addresses.empty())
            resolved.error = lookup_error(asked->second->host, answer->code ? answer->code : EAI_NONAME);
          finish(id, std::move(resolved));
        });
    if (task) {
      lookup->task = *task;
    } else {
      lookup->ready.error = net_error(
          NetErrorKind::kDns, "the resolver is busy, " + host + " was not looked up: " + task.error().message);
      delay_ms = 0;
    }
  }

  lookup->deadline = std::make_unique<LoopTimer>(loop_, handles_, [this, id, deadline_ms] {
    Lookup& late = *lookups_.at(id);
    if (late.task == 0) return finish(id, std::move(late.ready));
    threads_.abandon(std::exchange(late.task, 0));
    Resolved resolved;
    resolved.error = {NetErrorKind::kTimeout, NetPhase::kDns,
                      "the lookup of " + late.host + " took longer than " +
                          std::to_string(deadline_ms) + " ms"};
    finish(id, std::move(resolved));
  });
  lookup->deadline->start(delay_ms);
  lookups_.emplace(id, std::move(lookup));
  return id;
}

void Resolver::finish(LookupId id, Resolved resolved) {
  const auto it = lookups_.find(id);
  const std::unique_ptr<Lookup> lookup = std::move(it->second);
  lookups_.erase(it);
  if (resolved.addresses.size() > kAddressesMax) resolved.addresses.resize(kAddressesMax);
  for (Address& address : resolved.addresses)
    (address.is_v6() ? address.v6.sin6_port : address.v4.sin_port) = htons(lookup->port);
  lookup->on_done(std::move(resolved));
}

void Resolver::cancel(LookupId id) {
  const auto it = lookups_.find(id);
  if (it == lookups_.end()) return;
  if (it->second->task != 0) threads_.abandon(it->second->task);
  lookups_.erase(it);
}

Resolved allowed_addresses(const std::string& host, std::vector<Address> addresses,
                           bool allow_private) {
  Resolved out;
  if (allow_private) {
    out.addresses = std::move(addresses);
    return out;
  }
  for (const Address& address : addresses) {
    const AddressScope scope = address_scope(address);
    if (scope == AddressScope::kPublic) {
      out.addresses.push_back(address);
    } else if (!out.error) {
      const std::string ip = address.ip();
      out.error = net_error(NetErrorKind::kRefused,
                            (ip == host ? ip + " is " : host + " resolves to " + ip + ", ") +
                                address_scope_name(scope) + ", and \"allow_private\" is not set");
    }
  }
  if (!out.addresses.empty()) out.error = {};
  return out;
}

}  // namespace hf
