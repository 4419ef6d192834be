# How each dependency is built, small and static, for one target. Sourced by ../deps.sh.
# What is here, deps.lock and mbedtls_config.h make up the hash in a prefix's name: change one of
# them and every target is built anew.
#
# In: SRC (unpacked sources), PREFIX (to fill), WORK (scratch), CC CXX AR NM OBJCOPY, JOBS, RECIPE
# (this folder).

# Position independent and in sections, since all of it ends in libholdfast.so and is garbage-collected.
flags_of() {  # TARGET
  local flags='-w -DNDEBUG -fPIC -ffunction-sections -fdata-sections -fvisibility=hidden -D_FILE_OFFSET_BITS=64'
  case $1 in
    armhf) flags+=' -Wno-psabi -D_TIME_BITS=64' ;;  # past 2038, everywhere or nowhere
    tsan) flags+=' -g -fsanitize=thread' ;;
  esac
  echo "$flags"
}

compile_one() { $COMPILE -c "$1" -o "$2"; }
export -f compile_one

# archive NAME "COMPILER FLAGS" SOURCE...: compiles the sources into lib/NAME. Runs in the source folder,
# so that no path of this machine gets into the objects.
archive() {
  local name=$1 objects=$WORK/$1.o
  export COMPILE=$2
  shift 2
  rm -rf "$objects" && mkdir -p "$objects"
  local source
  for source in "$@"; do  # the folder stays in the name: thread.c and unix/thread.c are two objects
    printf '%s\0%s\0' "$source" "$objects/${source//\//_}.o"
  done | xargs -0 -n 2 -P "$JOBS" bash -c 'compile_one "$@"' compile
  rm -f "$PREFIX/lib/$name"
  "$AR" rcsD "$PREFIX/lib/$name" "$objects"/*.o
}

license() { mkdir -p "$PREFIX/licenses" && cp "$2" "$PREFIX/licenses/$1"; }

# Steps that are the same for every target: run once, in the unpacked source.
prepare_sqlite3() {
  ./configure --disable-tcl --disable-readline >configure.log 2>&1
  make sqlite3.c >make.log 2>&1
}

build_sqlite3() {
  # THREADSAFE=2: one connection a thread (the engine's), several engines in a process.
  archive libsqlite3.a "$CC $FLAGS -O2 -DSQLITE_THREADSAFE=2 -DSQLITE_DQS=0 -DSQLITE_DEFAULT_MEMSTATUS=0 \
    -DSQLITE_DEFAULT_WAL_SYNCHRONOUS=1 -DSQLITE_ENABLE_NULL_TRIM -DSQLITE_LIKE_DOESNT_MATCH_BLOBS -DSQLITE_MAX_EXPR_DEPTH=0 \
    -DSQLITE_OMIT_DEPRECATED -DSQLITE_OMIT_SHARED_CACHE -DSQLITE_OMIT_LOAD_EXTENSION \
    -DSQLITE_OMIT_DECLTYPE -DSQLITE_OMIT_JSON -DSQLITE_USE_ALLOCA -DHAVE_USLEEP=1 \
    -DHAVE_FDATASYNC=1 -DHAVE_PREAD=1 -DHAVE_PWRITE=1 \
    -DHAVE_STRERROR_R=1 -DHAVE_LOCALTIME_R=1 -DHAVE_GMTIME_R=1" sqlite3.c
  cp sqlite3.h "$PREFIX/include/"
  mkdir -p "$PREFIX/include/holdfast"  # for programs that speak to the SQLite inside: include/holdfast_sqlite.h
  cp sqlite3.h src/sqlite3ext.h "$PREFIX/include/holdfast/"
}

build_libuv1() {
  local src=src unix=src/unix
  archive libuv.a "$CC $FLAGS -Os -std=gnu11 -D_GNU_SOURCE -D_POSIX_C_SOURCE=200112 -Iinclude -Isrc" \
    $src/{fs-poll,idna,inet,random,strscpy,strtok,thread-common,threadpool,timer}.c \
    $src/{uv-common,uv-data-getter-setters,version}.c \
    $unix/{async,core,dl,fs,getaddrinfo,getnameinfo,linux,loop-watcher,loop,pipe,poll,process}.c \
    $unix/{procfs-exepath,proctitle,random-devurandom,random-getentropy,random-getrandom}.c \
    $unix/{random-sysctl-linux,signal,stream,tcp,thread,tty,udp}.c
  mkdir -p "$PREFIX/include"
  cp -r include/. "$PREFIX/include/"
  rename_libuv
  license libuv LICENSE
}

# Ours is hfuv_*: a host program may bring a libuv of its own, and hf_start_on must reach that one
# by its true names. Users of <uv.h> see no difference: the header renames what it declares. A source
# that does not include it (platform/host_loop.cpp) can still refer to the host's uv_async_init.
rename_libuv() {
  "$NM" -g --defined-only "$PREFIX/lib/libuv.a" | awk 'NF==3 && $3 ~ /^uv_/ {print $3}' | sort -u \
    >"$WORK/uv.symbols"
  awk '{print $1, "hf" $1}' "$WORK/uv.symbols" >"$WORK/uv.rename"
  "$OBJCOPY" --redefine-syms="$WORK/uv.rename" "$PREFIX/lib/libuv.a"
  {
    echo '/* Generated: the names of the libuv inside Holdfast. See toolchains/deps/recipe.sh. */'
    awk '$1 !~ /^uv__/ {print "#define " $1 " hf" $1}' "$WORK/uv.symbols"
  } >"$PREFIX/include/uv/holdfast_names.h"
  mv "$PREFIX/include/uv.h" "$WORK/uv.h"
  { echo '#include "uv/holdfast_names.h"'; cat "$WORK/uv.h"; } >"$PREFIX/include/uv.h"
}

# 3.6.6 offers RSA-PSS, as TLS 1.3 demands, and then refuses it from a server with an RSA key that speaks
# TLS 1.2 (mbedtls issue 10668, mended after 3.6.6 by pull request 10674). RFC 8446, 4.2.3 wants it accepted.
# When memory runs out in the middle of a TLS 1.3 handshake, it frees a transform but not the cipher contexts
# in it: some 400 bytes a time.
prepare_mbedtls() {
  patch -p1 <<'EOF'
--- a/library/ssl_tls12_client.c
+++ b/library/ssl_tls12_client.c
@@ -2096,7 +2096,8 @@
      * mbedtls_ssl_get_pk_sigalg_and_md_alg_from_sig_alg() understands sig_alg code points across
      * TLS versions. Make sure that the received sig_alg extension is valid in TLS 1.2.
      */
-    if (!mbedtls_ssl_sig_alg_is_supported(ssl, sig_alg)) {
+    if (!mbedtls_ssl_sig_alg_is_supported(ssl, sig_alg) &&
+        *pk_alg != MBEDTLS_PK_RSASSA_PSS) {
         MBEDTLS_SSL_DEBUG_MSG(1,
                               ("Server used unsupported value in SigAlg extension 0x%04x",
                                sig_alg));
--- a/library/ssl_tls13_keys.c
+++ b/library/ssl_tls13_keys.c
@@ -1266,6 +1266,7 @@
 cleanup:
     mbedtls_platform_zeroize(&traffic_keys, sizeof(traffic_keys));
     if (ret != 0) {
+        mbedtls_ssl_transform_free(transform_earlydata);
         mbedtls_free(transform_earlydata);
     }
 
@@ -1738,6 +1739,7 @@
 cleanup:
     mbedtls_platform_zeroize(&traffic_keys, sizeof(traffic_keys));
     if (ret != 0) {
+        mbedtls_ssl_transform_free(transform_handshake);
         mbedtls_free(transform_handshake);
     }
 
@@ -1831,6 +1833,7 @@
 
     mbedtls_platform_zeroize(&traffic_keys, sizeof(traffic_keys));
     if (ret != 0) {
+        mbedtls_ssl_transform_free(transform_application);
         mbedtls_free(transform_application);
     }
     return ret;
EOF
}

build_mbedtls() {
  rm -rf "$WORK/mbedtls" && mkdir -p "$WORK/mbedtls/mbedtls"
  cp -r include/mbedtls include/psa "$PREFIX/include/"
  cp "$RECIPE/mbedtls_config.h" "$PREFIX/include/mbedtls/mbedtls_config.h"
  archive libmbedtls.a "$CC $FLAGS -Os -std=gnu11 -I$PREFIX/include -Ilibrary" library/*.c
  license mbedtls LICENSE
}

build_nghttp2() {  # for its copy of llhttp
  cd third-party/llhttp
  archive libllhttp.a "$CC $FLAGS -Os -Iinclude" src/api.c src/http.c src/llhttp.c
  cp include/llhttp.h "$PREFIX/include/"
  license llhttp LICENSE-MIT
}

build_cctz() {
  archive libcctz.a "$CXX $FLAGS -Os -std=c++17 -fno-gnu-unique -Iinclude" \
    src/{civil_time_detail,time_zone_fixed,time_zone_format,time_zone_if,time_zone_impl}.cc \
    src/{time_zone_info,time_zone_libc,time_zone_lookup,time_zone_posix,zone_info_source}.cc
  cp -r include/cctz "$PREFIX/include/"
  license cctz LICENSE.txt
}

# Without the wide tables of crc32: 16 KB for a checksum that is not what takes the time.
build_zlib() {
  archive libz.a "$CC $FLAGS -Os -DZ_TESTW=0" {adler32,crc32,deflate,trees,zutil,inflate,inffast,inftrees}.c
  cp zlib.h zconf.h "$PREFIX/include/"
  license zlib LICENSE
}

# Its quickest strategy alone (platform/compress.cpp asks for no other): 50 KB in place of 140. The folder
# decompress is for the tests; a program that only compresses links none of it.
build_libzstd() {
  local exclude='' strategy
  for strategy in DFAST GREEDY LAZY LAZY2 BTLAZY2 BTOPT BTULTRA; do
    exclude+=" -DZSTD_EXCLUDE_${strategy}_BLOCK_COMPRESSOR"
  done
  cd lib
  archive libzstd.a "$CC $FLAGS -Os -DZSTD_NO_INLINE -DZSTD_STRIP_ERROR_STRINGS -DZSTD_DISABLE_ASM -DDYNAMIC_BMI2=0 \
    $exclude" common/*.c compress/*.c decompress/*.c
  cp zstd.h zstd_errors.h "$PREFIX/include/"
  license zstd ../LICENSE
}

# The client library of mosquitto, for MQTT, as a protocol alone: without TLS (and so without OpenSSL), without threads.
# "fd:N" in place of a host is a connected socket that becomes the library's: the name lookup, the check of the address and TLS
# are ours (platform/mqtt). A packet of a broker is held to 64 KiB, as our CONNECT asks; the library would allocate 256 MiB.
prepare_mosquitto() {
  patch -p1 <<'EOF'
--- a/lib/net_mosq.c
+++ b/lib/net_mosq.c
@@ -530,7 +530,10 @@
 int net__try_connect(const char *host, uint16_t port, mosq_sock_t *sock, const char *bind_address, bool blocking)
 {
 	if(port == 0){
-#ifdef WITH_UNIX_SOCKETS
+#ifdef HOLDFAST_CONNECTED_SOCKET
+		*sock = atoi(host + strlen("fd:"));
+		return MOSQ_ERR_SUCCESS;
+#elif defined(WITH_UNIX_SOCKETS)
 		return net__try_connect_unix(host, sock);
 #else
 		return MOSQ_ERR_NOT_SUPPORTED;
--- a/lib/packet_mosq.c
+++ b/lib/packet_mosq.c
@@ -517,6 +517,7 @@
 		}
 #else
 		/* FIXME - client case for incoming message received from broker too large */
+		if(mosq->in_packet.remaining_length > 65536) return MOSQ_ERR_OVERSIZE_PACKET;
 #endif
 		if(mosq->in_packet.remaining_length > 0){
 			mosq->in_packet.payload = mosquitto__malloc(mosq->in_packet.remaining_length*sizeof(uint8_t));
EOF
}

build_mosquitto() {
  archive libmosquitto.a "$CC $FLAGS -Os -std=gnu11 -D_GNU_SOURCE -DHOLDFAST_CONNECTED_SOCKET -DLIBMOSQUITTO_STATIC \
    -I. -Iinclude -Ilib -Ideps" lib/*.c
  cp include/mosquitto.h include/mqtt_protocol.h "$PREFIX/include/"
  license mosquitto edl-v10
}

build_nlohmann_json3() {
  cp -r single_include/nlohmann "$PREFIX/include/"
  license nlohmann-json LICENSE.MIT
}
build_cli11() {
  cp -r include/CLI "$PREFIX/include/"
  license cli11 LICENSE
}
build_doctest() { mkdir -p "$PREFIX/include/doctest" && cp doctest/doctest.h "$PREFIX/include/doctest/"; }
