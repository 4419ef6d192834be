/* A host program in C99. With OWN_NAMES it has functions of its own that are called like those inside
 * the library: the linker must not mind, and the library must not call them. */
#include <holdfast.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef OWN_NAMES
int sqlite3_open(void), sqlite3_step(void), uv_loop_init(void), mbedtls_ssl_init(void), llhttp_init(void);
int sqlite3_open(void) { abort(); }
int sqlite3_step(void) { abort(); }
int uv_loop_init(void) { abort(); }
int mbedtls_ssl_init(void) { abort(); }
int llhttp_init(void) { abort(); }
#endif

static int fail(const char *what, int code, hf_engine *engine) {
  fprintf(stderr, "%s: %s: %s\n", what, hf_strerror(code), hf_errmsg(engine));
  return 1;
}

int main(int argc, char **argv) {
  hf_engine *engine = NULL;
  hf_job_spec job = HF_JOB_SPEC_INIT;
  hf_job_id id = 0;
  int rc;
  if (argc != 2 || strcmp(hf_version(), HF_VERSION) != 0) return 2;
  if ((rc = hf_open(argv[1], NULL, &engine)) != HF_OK) return fail("hf_open", rc, NULL);
  job.type = "greet";
  job.payload = "hello";
  job.payload_len = 5;
  if ((rc = hf_enqueue(engine, &job, &id)) != HF_OK || id <= 0) return fail("hf_enqueue", rc, engine);
  if ((rc = hf_close(engine)) != HF_OK) return fail("hf_close", rc, NULL);
  puts("ok");
  return 0;
}
