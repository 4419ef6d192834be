// The tus server of files_test.py: tus_server.mjs MODULES FOLDER. Says its port; checks what is said of checksums.
import {createHash} from "node:crypto";
import {createReadStream} from "node:fs";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const [modules, folder] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const {Server} = await load("@tus/server");
const {FileStore} = await load("@tus/file-store");

const server = new Server({
  path: "/files",
  datastore: new FileStore({directory: folder}),
  async onUploadFinish(_, upload) {
    const hash = createHash("sha256");
    for await (const piece of createReadStream(`${folder}/${upload.id}`)) hash.update(piece);
    console.log(JSON.stringify({finished: upload.id, size: upload.size, sha256: hash.digest("hex"), metadata: upload.metadata}));
    return {};
  },
});
const listener = server.listen({host: "127.0.0.1", port: 0}, () => console.log(JSON.stringify({port: listener.address().port})));
