// Compiles contracts of npm packages as published: {"<contract>": {"abi": ..., "bytecode": "0x..."}} on
// stdout. A contract has the name of its source.
// node compile.js <a node_modules folder with solc and the packages> <source> ...
"use strict";

const fs = require("fs");
const path = require("path");

const modules = path.resolve(process.argv[2]);
const solc = require(path.join(modules, "solc"));

const read = (name) => fs.readFileSync(path.join(modules, name), "utf8");
const contracts = process.argv.slice(3).map((source) => [source, path.basename(source, ".sol")]);

const input = {
  language: "Solidity",
  sources: Object.fromEntries(contracts.map(([source]) => [source, { content: read(source) }])),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true },
    outputSelection: Object.fromEntries(
      contracts.map(([source, name]) => [source, { [name]: ["abi", "evm.bytecode.object"] }]),
    ),
  },
};
const output = JSON.parse(
  solc.compile(JSON.stringify(input), { import: (name) => ({ contents: read(name) }) }),
);

const errors = (output.errors || []).filter((error) => error.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
const compiled = contracts.map(([source, name]) => {
  const { abi, evm } = output.contracts[source][name];
  return [name, { abi, bytecode: "0x" + evm.bytecode.object }];
});
console.log(JSON.stringify(Object.fromEntries(compiled)));
