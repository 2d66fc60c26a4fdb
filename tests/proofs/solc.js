#!/usr/bin/env node
// As much of solc's command line as forge uses, over npm's build of the compiler.
const { createRequire } = require("module");
const solc = createRequire(process.env.PROVE_NODE + "/")("solc");

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else {
  process.stdout.write(solc.compile(require("fs").readFileSync(0, "utf8")));
}
