import type { Command } from 'commander';

/** Each is loaded when it is the one that was asked for: a node does not hold what talks to an API server. */
const commands: Readonly<Record<string, (version: string) => Promise<Command>>> = {
  serve: async (version) => (await import('./serve.ts')).serveCommand(version),
  operator: async (version) => (await import('./operator.ts')).operatorCommand(version),
  status: async () => (await import('./status.ts')).statusCommand(),
  doctor: async (version) => (await import('./doctor.ts')).doctorCommand(version),
  generate: async () => (await import('./generate.ts')).generateCommand(),
  explain: async () => (await import('./route/explain.ts')).explainCommand(),
  calibrate: async () => (await import('./route/calibrate.ts')).calibrateCommand(),
  route: async () => (await import('./route/cases.ts')).routeCommand(),
  lint: async () => (await import('./lint.ts')).lintCommand(),
  digest: async () => (await import('./digest.ts')).digestCommand(),
  convert: async () => (await import('./convert.ts')).convertCommand(),
  compose: async () => (await import('./compose.ts')).composeCommand(),
  push: async () => (await import('./registry/push.ts')).pushCommand(),
  pull: async () => (await import('./registry/pull.ts')).pullCommand(),
  inspect: async () => (await import('./registry/inspect.ts')).inspectCommand(),
  delta: async () => (await import('./registry/delta.ts')).deltaCommand(),
  sign: async () => (await import('./registry/sign.ts')).signCommand(),
  verify: async () => (await import('./registry/verify.ts')).verifyCommand(),
  model: async () => (await import('./model/command.ts')).modelCommand(),
  classifier: async () => (await import('./classifier/command.ts')).classifierCommand(),
  key: async () => (await import('./key.ts')).keyCommand(),
  'release-adapters': async () => (await import('./release-adapters.ts')).releaseAdaptersCommand(),
};

/** Every command of `adaptlet`, verbs included. */
export const allCommands = async (version: string): Promise<readonly Command[]> => {
  const { verbCommands } = await import('./verbs.ts');
  return [...(await Promise.all(Object.values(commands).map((load) => load(version)))), ...verbCommands()];
};

/** The command of that name, else all of them: verbs, help, and what is misspelt. */
export const wantedCommands = async (version: string, name = ''): Promise<readonly Command[]> => {
  const one = Object.hasOwn(commands, name) ? commands[name] : undefined;
  return one === undefined ? allCommands(version) : [await one(version)];
};
