/** Loaded into a runtime and its engine by NODE_OPTIONS: the engine ends by a signal when it is given a prompt with this word. */
const word = 'poison';
if (process.argv[1]?.endsWith('engine/process/main.ts') === true) {
  process.on('message', (message: unknown) => {
    if (JSON.stringify(message).includes(word)) process.kill(process.pid, 'SIGKILL');
  });
}
