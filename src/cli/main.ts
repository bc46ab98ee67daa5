import { Command } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { aliveUntil } from './alive-until.ts';
import { errorText, type PersonalAdvice } from './error-text.ts';

const { version } = packageJson;

/** A command that ends does not try again by itself. */
const advice: PersonalAdvice = {
  REGISTRY_UNAVAILABLE:
    'Check the name of the registry and the way to it, then run the command again: what has arrived is not sent again.',
};

/** Each is loaded when it is the one that was asked for: a node does not hold what talks to an API server. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./serve.ts')).serveCommand(version),
  operator: async () => (await import('./operator.ts')).operatorCommand(version),
  'release-adapters': async () => (await import('./release-adapters.ts')).releaseAdaptersCommand(),
  lint: async () => (await import('./lint.ts')).lintCommand(),
  compose: async () => (await import('./compose.ts')).composeCommand(),
  convert: async () => (await import('./convert.ts')).convertCommand(),
  key: async () => (await import('./key.ts')).keyCommand(),
  digest: async () => (await import('./digest.ts')).digestCommand(),
  push: async () => (await import('./registry/push.ts')).pushCommand(),
  pull: async () => (await import('./registry/pull.ts')).pullCommand(),
  sign: async () => (await import('./registry/sign.ts')).signCommand(),
  verify: async () => (await import('./registry/verify.ts')).verifyCommand(),
  inspect: async () => (await import('./registry/inspect.ts')).inspectCommand(),
  delta: async () => (await import('./registry/delta.ts')).deltaCommand(),
  model: async () => (await import('./model/command.ts')).modelCommand(),
  status: async () => (await import('./status.ts')).statusCommand(),
  generate: async () => (await import('./generate.ts')).generateCommand(),
  explain: async () => (await import('./route/explain.ts')).explainCommand(),
  calibrate: async () => (await import('./route/calibrate.ts')).calibrateCommand(),
  route: async () => (await import('./route/cases.ts')).routeCommand(),
  classifier: async () => (await import('./classifier/command.ts')).classifierCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(version),
};

/** The command that comes first, else all of them: verbs, help, and what is misspelt. */
const wanted = async (name: string): Promise<readonly Command[]> => {
  const one = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (one !== undefined) return [await one()];
  const { verbCommands } = await import('./verbs.ts');
  return [...(await Promise.all(Object.values(commands).map((load) => load()))), ...verbCommands()];
};

const program = new Command('adaptlet')
  .description(
    'One frozen base model, many LoRA adapters: fetched, switched, split over traffic and rolled back live.',
  )
  .version(version)
  .showHelpAfterError('(--help lists the options)');

try {
  for (const command of await wanted(process.argv[2] ?? '')) program.addCommand(command);
  await aliveUntil(program.parseAsync());
} catch (error) {
  // The message of an AdaptletError says what happened and what to do; a stack would bury it.
  process.stderr.write(`adaptlet: ${errorText(error, advice)}\n`);
  process.exitCode = 1;
}
