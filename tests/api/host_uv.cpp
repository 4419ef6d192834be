// Stands for the libuv of a host program: the library's own under the names that a host has. The product's tests have
// the system's (tests/product/examples.sh); this one is there under every sanitizer and on every architecture.
#include <cstddef>

extern "C" {
int hfuv_async_init(void* loop, void* async, void (*callback)(void*));
int hfuv_async_send(void* async);
void hfuv_unref(void* handle);
void hfuv_close(void* handle, void (*callback)(void*));
size_t hfuv_handle_size(int type);

int uv_async_init(void* loop, void* async, void (*callback)(void*)) { return hfuv_async_init(loop, async, callback); }
int uv_async_send(void* async) { return hfuv_async_send(async); }
void uv_unref(void* handle) { hfuv_unref(handle); }
void uv_close(void* handle, void (*callback)(void*)) { hfuv_close(handle, callback); }
size_t uv_handle_size(int type) { return hfuv_handle_size(type); }
}
