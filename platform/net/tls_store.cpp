#include "platform/net/tls_store.h"

#include <utility>

namespace hf {

struct TlsStore::Entry {
  TlsConfig config;
  int users = 1;
  std::shared_ptr<TlsContext> context;
  std::string error;
  BlockingPool::TaskId loading = 0;  // 0: none
  std::map<TicketId, ReadyFn> waiting;
};

TlsStore::TlsStore(uv_loop_t* loop, HandleCountPtr handles)
    : thread_(loop, std::move(handles), {1, kTlsConfigsMax + 1, 30000}) {
  entries_.emplace(kTlsSystem, std::make_unique<Entry>());
}

TlsStore::~TlsStore() = default;

Result<TlsConfigId> TlsStore::add(TlsConfig config) {
  for (auto& [id, entry] : entries_) {
    if (entry->config != config) continue;
    ++entry->users;
    return id;
  }
  if (entries_.size() >= kTlsConfigsMax)
    return Error{HF_E_FULL, "more than " + std::to_string(kTlsConfigsMax) + " TLS configurations"};
  auto entry = std::make_unique<Entry>();
  entry->config = std::move(config);
  entries_.emplace(++last_id_, std::move(entry));
  return last_id_;
}

void TlsStore::remove(TlsConfigId id) {
  const auto it = entries_.find(id);
  if (it == entries_.end() || --it->second->users > 0) return;
  const std::unique_ptr<Entry> entry = std::move(it->second);
  entries_.erase(it);
  if (entry->loading != 0) thread_.abandon(entry->loading);
  for (auto& [ticket, ready] : entry->waiting) ready("the TLS configuration was removed", nullptr);
}

Result<TlsStore::TicketId> TlsStore::get(TlsConfigId id, ReadyFn ready) {
  const auto it = entries_.find(id);
  if (it == entries_.end())
    return Error{HF_E_NOT_FOUND, "there is no TLS configuration " + std::to_string(id)};
  Entry& entry = *it->second;
  if (entry.loading == 0) {
    using Loaded = Result<std::shared_ptr<TlsContext>>;
    auto result = std::make_shared<Loaded>(Error{HF_E_NO_MEMORY, "out of memory"});
    const auto task = thread_.submit(
        [result, config = entry.config, old = entry.context] {
          *result = old && !old->files_changed() ? Loaded(old) : TlsContext::load(config);
        },
        [this, id, result] { loaded(id, std::move(*result)); });
    if (!task) return task.error();
    entry.loading = *task;
  }
  entry.waiting.emplace(++last_ticket_, std::move(ready));
  return last_ticket_;
}

void TlsStore::loaded(TlsConfigId id, Result<std::shared_ptr<TlsContext>> result) {
  Entry& entry = *entries_.at(id);
  entry.loading = 0;
  entry.error = result ? "" : result.error().message;
  if (result) entry.context = std::move(*result);
  const auto waiting = std::exchange(entry.waiting, {});
  const std::shared_ptr<TlsContext> context = entry.context;
  const std::string error = context ? "" : entry.error;
  for (const auto& [ticket, ready] : waiting) ready(error, context);
}

void TlsStore::cancel(TicketId ticket) {
  for (auto& [id, entry] : entries_) entry->waiting.erase(ticket);
}

CertEnds TlsStore::cert_ends(TlsConfigId id, const std::string& peer) const {
  const auto it = entries_.find(id);
  return it == entries_.end() || !it->second->context ? CertEnds{} : it->second->context->cert_ends(peer);
}

std::string TlsStore::last_error(TlsConfigId id) const {
  const auto it = entries_.find(id);
  return it == entries_.end() ? "" : it->second->error;
}

}  // namespace hf
