// The state of the library: asks the server while someone watches, more
// rarely while it doesn't answer.

import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { type ISignal, Signal } from '@lumino/signaling';

import type { ModelPage, ModelSummary, ServerStatus } from '../api';
import { type ILibraryRequests, RequestFailed } from '../request';
import type { ILibraryModel, ILibraryState } from '../tokens';

const PAGE_SIZE = 100;
const LONGEST_PAUSE_S = 30;
const CHANGE_PAUSE_MS = 200;

/** Everything that one round of questions brought. */
interface IAnswers {
  readonly status: ServerStatus;
  readonly models: readonly ModelSummary[];
  readonly hasMore: boolean;
}

/** What a LibraryModel needs. */
export interface ILibraryModelOptions {
  readonly requests: ILibraryRequests;

  /** This front end's version, to compare with the server's. */
  readonly version: string;

  readonly pollIntervalS: number;
}

/** Polls the server for its state and its models. */
export class LibraryModel implements ILibraryModel, IDisposable {
  constructor(options: ILibraryModelOptions) {
    this._requests = options.requests;
    this._version = options.version;
    this._poll = new Poll<void, unknown, 'watched'>({
      auto: false,
      name: 'norman-jupyter:library',
      factory: () => this._ask(),
      frequency: frequencyOf(options.pollIntervalS),
      standby: () => this._standby()
    });
  }

  get state(): ILibraryState {
    return this._state;
  }

  get stateChanged(): ISignal<this, void> {
    return this._stateChanged;
  }

  get isDisposed(): boolean {
    return this._poll.isDisposed;
  }

  /** Change the pause between two questions. */
  setPollInterval(intervalS: number): void {
    this._poll.frequency = frequencyOf(intervalS);
  }

  async refresh(): Promise<void> {
    try {
      await this._poll.schedule({
        interval: Poll.IMMEDIATE,
        phase: 'refreshed'
      });
      await this._poll.tick;
    } catch (error) {
      // A poll rejects for one reason only: it is disposed.
      if (!this.isDisposed) {
        throw error;
      }
    }
  }

  /** Ask soon, if someone watches: the server said that something changed. */
  noteChange(): void {
    // Started anew by each change, so that a burst of them is one question.
    void this._poll.schedule({ interval: CHANGE_PAUSE_MS, phase: 'started' });
  }

  async showMore(): Promise<void> {
    this._pages += 1;
    await this.refresh();
  }

  watch(): IDisposable {
    this._watchers += 1;
    void this.refresh();
    return new DisposableDelegate(() => {
      this._watchers -= 1;
    });
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._poll.dispose();
    Signal.clearData(this);
  }

  /** Whether to leave out a round that is due. */
  private _standby(): boolean | Poll.Standby {
    if (this._poll.state.phase === 'refreshed') {
      return 'never';
    }
    return this._watchers === 0 ? true : 'when-hidden';
  }

  /**
   * One round. Rejects after a failure, so that the poll pauses longer. A
   * round that a later one overtook changes nothing.
   */
  private async _ask(): Promise<void> {
    const round = ++this._round;
    try {
      const [status, library] = await Promise.all([
        this._requests.status(),
        askForModels(this._requests, this._pages)
      ]);
      if (round === this._round) {
        this._accept({ status, ...library });
      }
    } catch (error) {
      if (round === this._round) {
        this._reject(error);
      }
      throw error;
    }
  }

  private _accept(answers: IAnswers): void {
    this._replace({
      connection: { kind: 'online' },
      ...answers,
      versionsDiffer: answers.status.version !== this._version
    });
  }

  private _reject(error: unknown): void {
    const connection =
      error instanceof RequestFailed
        ? error.failure
        : { kind: 'failed' as const, message: String(error), requestId: null };
    this._replace({ ...this._state, connection });
  }

  private _replace(state: ILibraryState): void {
    if (this.isDisposed) {
      return;
    }
    this._state = state;
    this._stateChanged.emit();
  }

  private readonly _requests: ILibraryRequests;
  private readonly _version: string;
  private readonly _poll: Poll<void, unknown, 'watched'>;
  private readonly _stateChanged = new Signal<this, void>(this);
  private _pages = 1;
  private _round = 0;
  private _watchers = 0;
  private _state: ILibraryState = {
    connection: { kind: 'loading' },
    status: null,
    models: [],
    hasMore: false,
    versionsDiffer: false
  };
}

async function askForModels(
  requests: ILibraryRequests,
  pages: number
): Promise<Pick<IAnswers, 'models' | 'hasMore'>> {
  const models: ModelSummary[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < pages; page++) {
    const answer: ModelPage = await requests.models({
      limit: PAGE_SIZE,
      cursor
    });
    models.push(...answer.items);
    cursor = answer.next_cursor ?? null;
    if (cursor === null) {
      break;
    }
  }
  return { models, hasMore: cursor !== null };
}

function frequencyOf(intervalS: number): {
  interval: number;
  backoff: boolean;
  max: number;
} {
  return {
    interval: intervalS * 1000,
    backoff: true,
    max: Math.max(intervalS, LONGEST_PAUSE_S) * 1000
  };
}
