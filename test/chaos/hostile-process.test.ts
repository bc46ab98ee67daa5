import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { adaptlet } from '../support/cli.ts';
import { enginePid, TestNode, tiny, yaml } from '../support/node.ts';
import { repositoryRoot } from '../support/process.ts';
import { folderOfTest } from '../support/temporary-folder.ts';
import { traffic } from '../support/traffic.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode;
const start = async (settings: Record<string, string> = {}): Promise<void> => {
  node = await TestNode.start({ settings });
  await node.write('a.yaml', yaml.adapter('upper', 'adapters/upper'));
  await waitFor('upper', async () => (await moon()) === ' MOON!');
};
const moon = async () => (await node.client.ask({ model: 'upper', prompt: 'moon:' })).text;
const load = () => traffic(() => node, { model: 'upper', prompt: 'moon:', allowed: new Set([' MOON!']) });

describe('a node under attack of its surroundings', () => {
  afterEach(() => node.dispose());

  it('kills an engine that stands still, and serves again', async () => {
    await start({ 'stall-timeout': '1000' });
    const asking = load();
    await waitFor('answers', () => asking.answered() > 20);
    const pid = await waitFor('the engine', () => enginePid(node));
    process.kill(pid, 'SIGSTOP');
    await waitFor('another engine', () => ![undefined, pid].includes(enginePid(node)), 10_000);
    const before = asking.answered();
    await waitFor('answers again', () => asking.answered() > before + 20);
    await asking.stop();
    expect(new Set(asking.failures.map(({ code }) => code))).toEqual(new Set(['ENGINE_DOWN']));
    expect(asking.wrong).toEqual([]);
    expect((await node.client.status()).adapters.map((a) => a.references)).toEqual([0]);
  });

  it('answers although nobody reads its log any more', async () => {
    await start();
    node.stallLog();
    for (let i = 0; i < 1500; i++)
      await node.client.ask({ model: 'nobody', prompt: 'moon:' }).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'MODEL_NOT_FOUND' });
      });
    expect(await moon()).toBe(' MOON!');
  });

  it('keeps its data folder to itself', async () => {
    await start();
    const free = ['--grpc-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0'];
    const second = await adaptlet('serve', '--model', tiny.model, '--data-dir', node.data, ...free);
    expect(second).toMatchObject({ code: 1, stdout: '' });
    expect(second.stderr).toMatch(/store is in use by process \d+\. Stop the other runtime/);
    expect(await moon()).toBe(' MOON!');
  });

  it('answers or plainly refuses what is under way when it is told to end, and ends well', async () => {
    await start({ 'max-concurrent': '2' });
    const asking = load();
    await waitFor('answers', () => asking.answered() > 20);
    const { pid } = node;
    process.kill(pid, 'SIGTERM');
    await waitFor('the end', () => !isAlive(pid), 15_000);
    await asking.stop();
    expect(asking.wrong).toEqual([]);
    // Not one request was cut: what came too late was told that nobody listens.
    expect(asking.failures.filter(({ message }) => !message.startsWith('No connection established'))).toEqual(
      [],
    );
    expect(await node.end()).toBe(0);
  });

  it('ends in time although clients hold connections on which they say nothing, and takes no new request', async () => {
    await start();
    const http = new URL(node.http);
    const port = Number(node.grpc.split(':')[1]);
    const held: Socket[] = [
      connect(Number(http.port), http.hostname),
      connect(Number(http.port), http.hostname),
      connect(port, '127.0.0.1'),
      connect(port, '127.0.0.1'),
      connect(node.admin.slice('unix:'.length)),
    ];
    for (const socket of held) socket.on('error', () => undefined);
    held[0]?.write('POST /v1/comp');
    held[1]?.write('POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"mo');
    held[2]?.write('PRI * HTTP/2.0\r\n\r\nSM');
    await waitFor('the connections', () => held.every((socket) => !socket.connecting));
    const { pid } = node;
    process.kill(pid, 'SIGTERM');
    for (const address of [http.port, port])
      await waitFor('a closed port', async () => !(await accepts(Number(address))), 2_000);
    await waitFor('the end', () => !isAlive(pid), 15_000);
    expect(await node.end()).toBe(0);
    for (const socket of held) socket.destroy();
  });
});

describe('a node that cannot start', () => {
  let folder: string;
  beforeEach(() => {
    folder = folderOfTest();
  });
  const serve = (settings: Record<string, string>) =>
    adaptlet(
      'serve',
      ...Object.entries({
        model: tiny.model,
        'data-dir': join(folder, 'data'),
        'grpc-listen': '127.0.0.1:0',
        'http-listen': '127.0.0.1:0',
        ...settings,
      }).flatMap(([name, value]) => [`--${name}`, value]),
    );

  it('names the address that is taken, or the data folder that is none', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    const port = await waitFor('the port', () => {
      const address = other.address();
      return typeof address === 'object' && address !== null && address.port;
    });
    const taken = await serve({ 'http-listen': `127.0.0.1:${port}` });
    other.close();
    expect(taken.code).toBe(1);
    expect(taken.stderr).toContain(`cannot listen on 127.0.0.1:${port}`);
    const none = await serve({ 'data-dir': join(tiny.model, 'model.onnx') });
    expect(none.code).toBe(1);
    expect(none.stderr).toContain('adaptlet: --data-dir');
  });

  it('ends when it is told to end while it loads the base model, which it does not wait for', async () => {
    const mark = join(folder, 'engine');
    const preload = join(import.meta.dirname, '../support/preload/engine-stands-still.ts');
    const child: ChildProcess = spawn(
      join(repositoryRoot, 'bin/adaptlet'),
      ['serve', '--model', tiny.model, '--data-dir', join(folder, 'data'), '--http-listen', '127.0.0.1:0'],
      {
        env: { ...process.env, NODE_OPTIONS: `--import=${preload}`, ADAPTLET_TEST_ENGINE: mark },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    onTestFinished(() => void child.kill('SIGKILL'));
    let [out, log] = ['', ''];
    child.stdout?.on('data', (text: Buffer) => (out += text.toString()));
    child.stderr?.on('data', (text: Buffer) => (log += text.toString()));
    const allRead = new Promise((resolve) => child.once('close', resolve));
    const engine = await waitFor('the engine', async () => Number(await readFile(mark, 'utf8')) || undefined);
    child.kill('SIGTERM');
    // The engine never says that it is ready: whoever waits for that does not end.
    await waitFor('the end', () => child.exitCode !== null || child.signalCode !== null, 60_000);
    expect(child.exitCode).toBe(0);
    await waitFor('the end of the engine', () => !isAlive(engine));
    await allRead;
    expect(out).toBe('');
    expect(log.trim().split('\n').at(-1)).toContain('stopped before it was ready');
  });
});

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
