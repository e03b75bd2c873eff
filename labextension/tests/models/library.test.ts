import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ModelPage, ServerStatus } from '../../src/api';
import { LibraryModel } from '../../src/models/library';
import {
  type Failure,
  type ILibraryRequests,
  RequestFailed
} from '../../src/request';
import { aModel, aStatus } from '../answers';

/** A server in memory, with as many models as named. */
class FakeServer implements ILibraryRequests {
  rounds = 0;
  current: ServerStatus = aStatus();
  failure: Failure | null = null;
  names: string[] = ['digits'];

  /** Awaited by the next question for the status. */
  gate: Promise<void> = Promise.resolve();

  async status(): Promise<ServerStatus> {
    this.rounds += 1;
    const { gate, current } = this;
    await gate;
    if (this.failure !== null) {
      throw new RequestFailed(this.failure);
    }
    return current;
  }

  models(options: {
    limit: number;
    cursor: string | null;
  }): Promise<ModelPage> {
    const start = Number(options.cursor ?? 0);
    const end = start + options.limit;
    return Promise.resolve({
      items: this.names.slice(start, end).map(name => aModel({ name })),
      next_cursor: end < this.names.length ? String(end) : null
    });
  }
}

let server: FakeServer;
let model: LibraryModel;

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer();
  model = new LibraryModel({
    requests: server,
    version: '0.1.0',
    pollIntervalS: 5
  });
});

afterEach(() => {
  model.dispose();
  vi.useRealTimers();
});

async function pass(seconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(seconds * 1000);
}

describe('LibraryModel', () => {
  it('asks nothing before someone watches', async () => {
    await pass(60);
    expect(server.rounds).toBe(0);
    expect(model.state.connection.kind).toBe('loading');
  });

  it('shows what the server said', async () => {
    model.watch();
    await pass(0);
    expect(model.state).toEqual({
      connection: { kind: 'online' },
      status: aStatus(),
      models: [aModel()],
      hasMore: false,
      versionsDiffer: false
    });
  });

  it('says that it changed, after it changed', async () => {
    const kinds: string[] = [];
    model.stateChanged.connect(sender => {
      kinds.push(sender.state.connection.kind);
    });
    model.watch();
    await pass(0);
    expect(kinds).toEqual(['online']);
  });

  it('asks again at the interval', async () => {
    model.watch();
    await pass(0);
    await pass(5);
    await pass(5);
    expect(server.rounds).toBe(3);
  });

  it('asks at the new interval once that is set', async () => {
    model.setPollInterval(1);
    model.watch();
    await pass(0);
    await pass(1);
    await pass(1);
    expect(server.rounds).toBe(3);
  });

  it('stops asking when the last watcher leaves', async () => {
    const first = model.watch();
    const second = model.watch();
    await pass(0);
    first.dispose();
    await pass(5);
    const before = server.rounds;
    second.dispose();
    await pass(60);
    expect(server.rounds).toBe(before);
  });

  it('counts a watcher that leaves twice once', async () => {
    const first = model.watch();
    model.watch();
    first.dispose();
    first.dispose();
    await pass(0);
    const before = server.rounds;
    await pass(5);
    expect(server.rounds).toBe(before + 1);
  });

  it('keeps the last answer when the server is lost, and recovers', async () => {
    model.watch();
    await pass(0);
    server.failure = { kind: 'unreachable' };
    await pass(5);
    expect(model.state.connection.kind).toBe('unreachable');
    expect(model.state.status).toEqual(aStatus());
    expect(model.state.models).toEqual([aModel()]);

    server.failure = null;
    await pass(30);
    expect(model.state.connection.kind).toBe('online');
  });

  it('pauses longer while the server is lost', async () => {
    server.failure = { kind: 'unreachable' };
    model.watch();
    await pass(0);
    await pass(300);
    // 60 rounds at the interval; backing off asks about every 30 seconds.
    expect(server.rounds).toBeGreaterThan(5);
    expect(server.rounds).toBeLessThan(40);
  });

  it('asks at once when told to, also while it pauses', async () => {
    server.failure = { kind: 'unreachable' };
    model.watch();
    await pass(100);
    server.failure = null;
    const refreshed = model.refresh();
    await pass(0);
    await refreshed;
    expect(model.state.connection.kind).toBe('online');
  });

  it('asks once after a burst of changes', async () => {
    model.watch();
    await pass(0);
    model.noteChange();
    model.noteChange();
    model.noteChange();
    await pass(1);
    expect(server.rounds).toBe(2);
  });

  it('passes over a change that nobody watches', async () => {
    model.noteChange();
    await pass(60);
    expect(server.rounds).toBe(0);
  });

  it('asks when told to although nobody watches', async () => {
    const refreshed = model.refresh();
    await pass(0);
    await refreshed;
    expect(model.state.connection.kind).toBe('online');
  });

  it('reports a fault of its own as a failure', async () => {
    server.models = () => Promise.reject(new RangeError('odd'));
    model.watch();
    await pass(0);
    expect(model.state.connection).toEqual({
      kind: 'failed',
      message: 'RangeError: odd',
      requestId: null
    });
  });

  it('notices a server of another version', async () => {
    server.current = aStatus({ version: '0.2.0' });
    model.watch();
    await pass(0);
    expect(model.state.versionsDiffer).toBe(true);
  });

  it('shows one page of models, and more when asked', async () => {
    server.names = Array.from({ length: 230 }, (_, index) => `m${index}`);
    model.watch();
    await pass(0);
    expect(model.state.models.length).toBe(100);
    expect(model.state.hasMore).toBe(true);

    void model.showMore();
    await pass(0);
    expect(model.state.models.length).toBe(200);

    void model.showMore();
    await pass(0);
    expect(model.state.models.length).toBe(230);
    expect(model.state.hasMore).toBe(false);
  });

  it('keeps the answer of the newest round', async () => {
    let open = (): void => undefined;
    server.gate = new Promise(resolve => {
      open = resolve;
    });
    model.watch();
    await pass(0);
    expect(server.rounds).toBe(1);

    server.gate = Promise.resolve();
    server.current = aStatus({ model_count: 9 });
    void model.refresh();
    await pass(0);
    expect(model.state.status?.model_count).toBe(9);

    open();
    await pass(0);
    expect(server.rounds).toBe(2);
    expect(model.state.status?.model_count).toBe(9);
  });

  it('is silent once disposed', async () => {
    const listener = vi.fn();
    let open = (): void => undefined;
    server.gate = new Promise(resolve => {
      open = resolve;
    });
    model.stateChanged.connect(listener);
    model.watch();
    await pass(0);
    model.dispose();
    open();
    await pass(60);
    await model.refresh();
    expect(server.rounds).toBe(1);
    expect(listener).not.toHaveBeenCalled();
    expect(model.isDisposed).toBe(true);
  });
});
