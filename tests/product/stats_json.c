/* hf_stats_json is plain NUL-terminated text that any reader of JSON takes; cJSON here. */
#include <cjson/cJSON.h>
#include <holdfast.h>
#include <stdio.h>
#include <string.h>

static const cJSON *at(const cJSON *object, const char *name) { return cJSON_GetObjectItemCaseSensitive(object, name); }

int main(int argc, char **argv) {
  hf_engine *engine;
  hf_job_spec job = HF_JOB_SPEC_INIT;
  hf_stats_info stats = HF_STATS_INFO_INIT;
  char *text = NULL;
  const char *end = NULL;
  cJSON *root;
  const cJSON *pending;
  int i;
  if (argc != 2 || hf_open(argv[1], NULL, &engine) != HF_OK) return 2;
  job.type = "x";
  for (i = 0; i < 3; i++) {
    if (hf_enqueue(engine, &job, NULL) != HF_OK) return 3;
  }
  if (hf_stats(engine, &stats) != HF_OK || hf_stats_json(engine, &text) != HF_OK) return 4;
  puts(text);
  root = cJSON_ParseWithOpts(text, &end, 1);
  if (root == NULL) {
    fprintf(stderr, "cJSON stopped at: %s\n", end);
    return 5;
  }
  if (end != text + strlen(text)) return 6;
  pending = at(root, "pending");
  if (!cJSON_IsNumber(pending) || (int64_t)pending->valuedouble != stats.pending || stats.pending != 3) return 7;
  cJSON_Delete(root);
  hf_free(text);
  return hf_close(engine) == HF_OK ? 0 : 8;
}
