// The text of what store.cpp asks of SQLite.
#pragma once

#include "core/store.h"

namespace hf {

// Prepared at first use.
struct Store::Statements {
  explicit Statements(Db& db) : db_(db) {}
  Db& db_;
#define HF_STMT(name, text) Stmt name{db_, text};
  HF_STMT(insert,
          "INSERT INTO job(id,lane,state,nprio,due,attempts,created,at,expires,ukey,opts,payload)"
          " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)")
  HF_STMT(restore,
          "INSERT OR IGNORE INTO job(id,lane,state,nprio,due,attempts,created,at,expires,ukey,opts,payload,"
          "finished,error,history,result) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)")
  HF_STMT(restore_body, "INSERT OR IGNORE INTO body(id,data) VALUES(?1,?2)")
  HF_STMT(set_running, "UPDATE job SET state=?2, attempts=?3 WHERE id=?1")
  HF_STMT(index_recent, "UPDATE job SET state=1 WHERE id>=?1 AND id<?2 AND state=-1")
  HF_STMT(recent_running, "SELECT id FROM job WHERE id>=?1 AND id<?2 AND state=-1 ORDER BY id DESC LIMIT ?3")
  HF_STMT(count_recent, "SELECT count(*) FROM job WHERE id>=?1 AND state=-1")
  HF_STMT(end_plain,
          "UPDATE job SET lane=?2, state=?3, due=?4, attempts=?5, finished=?6,"
          " ukey=CASE WHEN ?7 THEN ukey END WHERE id=?1")
  HF_STMT(end_result,
          "UPDATE job SET lane=?2, state=?3, due=?4, attempts=?5, finished=?6,"
          " ukey=CASE WHEN ?7 THEN ukey END, error=NULL, result=?8,"
          " expires=CASE WHEN ?3 THEN expires END WHERE id=?1")  // it has run: its delivery does not expire
  HF_STMT(end_failure,
          "UPDATE job SET lane=?2, state=?3, due=?4, attempts=?5, finished=?6,"
          " ukey=CASE WHEN ?7 THEN ukey END, error=?8, history=?9 WHERE id=?1")
  HF_STMT(remove_body, "DELETE FROM body WHERE id BETWEEN ?1 AND ?1+1")
  HF_STMT(make_pending,
          "UPDATE job SET lane=?2, state=0, nprio=?3, due=?4, at=?5, attempts=?6, finished=NULL WHERE id=?1")
  HF_STMT(make_final,
          "UPDATE job SET state=?2, finished=?3, at=NULL, ukey=CASE WHEN ?4 THEN ukey END WHERE id=?1")
  HF_STMT(set_error, "UPDATE job SET error=?2 WHERE id=?1")
  HF_STMT(set_payload, "UPDATE job SET payload=?2 WHERE id=?1")
  HF_STMT(set_opts, "UPDATE job SET opts=?2 WHERE id=?1")
  HF_STMT(set_order, "UPDATE job SET nprio=?2, due=?3, at=?4, opts=?5 WHERE id=?1")
  HF_STMT(release_unique, "UPDATE job SET ukey=NULL WHERE id=?1")
  HF_STMT(set_unique, "UPDATE job SET ukey=?2 WHERE id=?1")
  HF_STMT(set_expiry, "UPDATE job SET expires=?2 WHERE id=?1")
  HF_STMT(put_body, "INSERT OR REPLACE INTO body(id,data) VALUES(?1,?2)")
  HF_STMT(get_body, "SELECT data FROM body WHERE id=?1")
  HF_STMT(body_size, "SELECT length(data) FROM body WHERE id=?1")
  HF_STMT(delete_body, "DELETE FROM body WHERE id=?1")
  HF_STMT(read_run, "SELECT opts,created,expires,attempts,payload FROM job WHERE id=?1")
  HF_STMT(read_delivery, "SELECT opts,created,expires,attempts,result FROM job WHERE id=?1")
#define HF_COLUMNS "lane,state,nprio,due,attempts,created,at,expires,ukey,opts,finished,error,history,length(payload)"
  HF_STMT(read, "SELECT " HF_COLUMNS ",length(result) FROM job WHERE id=?1")
  HF_STMT(read_brief, "SELECT " HF_COLUMNS ",NULL FROM hf_brief WHERE id=?1")
#undef HF_COLUMNS
  HF_STMT(read_bodies, "SELECT payload,result FROM job WHERE id=?1")
  HF_STMT(read_brief_bodies, "SELECT payload,NULL FROM hf_brief WHERE id=?1")
  HF_STMT(set_history, "UPDATE job SET history=?2 WHERE id=?1")
  HF_STMT(read_history, "SELECT history FROM job WHERE id=?1")
  HF_STMT(find_unique, "SELECT id FROM job WHERE ukey=?1")
  HF_STMT(next_level, "SELECT nprio FROM job WHERE state=0 AND lane=?1 AND nprio>?2 ORDER BY nprio LIMIT 1")
  HF_STMT(ready_level,
          "SELECT due,id FROM job WHERE state=0 AND lane=?1 AND nprio=?2 AND due<=?3"
          " ORDER BY due,id LIMIT ?4")
  HF_STMT(newest_level,
          "SELECT due,id FROM job WHERE state=0 AND lane=?1 AND nprio=?2 AND due<=?3"
          " ORDER BY due DESC,id DESC LIMIT ?4")
  HF_STMT(later_level,
          "SELECT due,id FROM job WHERE state=0 AND lane=?1 AND nprio=?2 AND due>?3"
          " ORDER BY due,id LIMIT ?4")
  HF_STMT(next_due, "SELECT due FROM job WHERE state=0 AND lane=?1 AND nprio=?2 AND due>?3 ORDER BY due LIMIT 1")
  HF_STMT(pending_of, "SELECT nprio,id FROM job WHERE state=0 AND lane=?1 ORDER BY nprio DESC,due DESC")  // of the index alone
  HF_STMT(wall_due, "SELECT id FROM job WHERE at<=?1 AND at IS NOT NULL AND state=0 ORDER BY at,id LIMIT ?2")
  HF_STMT(wall_waiting, "SELECT at,lane FROM job WHERE at IS NOT NULL AND state=0 ORDER BY at LIMIT ?1")
  HF_STMT(expired, "SELECT id FROM job WHERE expires<=?1 AND expires IS NOT NULL AND state=0 ORDER BY expires,id LIMIT ?2")
  HF_STMT(next_expiry, "SELECT expires FROM job WHERE expires IS NOT NULL AND state=0 ORDER BY expires LIMIT 1")
  HF_STMT(finished,
          "SELECT id,finished,ukey IS NOT NULL,lane FROM job WHERE state>=2 AND state=?1 AND (finished,id)>(?2,?3) AND finished<=?4"
          " ORDER BY finished,id LIMIT ?5")
  HF_STMT(final_page,
          "SELECT id FROM job WHERE state>=2 AND state=?1 AND (finished,id)<(?2,?3)"
          " ORDER BY finished DESC,id DESC LIMIT ?4")
  HF_STMT(count_final, "SELECT count(*) FROM job WHERE state>=2 AND state=?1")
  HF_STMT(running_page, "SELECT id FROM job WHERE state=1 AND id<?1 ORDER BY id DESC LIMIT ?2")
  HF_STMT(page, "SELECT id FROM job WHERE id<?1 ORDER BY id DESC LIMIT ?2")
  HF_STMT(insert_lane, "INSERT INTO lane(id,queue,type,key,origin) VALUES(?1,?2,?3,?4,?5)")
  HF_STMT(put_queue, "INSERT OR REPLACE INTO queue(name,paused,settings) VALUES(?1,?2,?3)")
  HF_STMT(put_schedule,
          "INSERT OR REPLACE INTO schedule(name,spec,paused,next,fire,last,last_job,fired,skipped,failures)"
          " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)")
  HF_STMT(remove_schedule, "DELETE FROM schedule WHERE name=?1")
  HF_STMT(get_meta, "SELECT value FROM meta WHERE key=?1")
  HF_STMT(drop_meta, "DELETE FROM meta WHERE key>=?1 AND key<?2 AND value<=?3")
  HF_STMT(put_meta, "INSERT OR REPLACE INTO meta(key,value) VALUES(?1,?2)")
#undef HF_STMT
};

}  // namespace hf
