#include "threads.h"

#include <pthread.h>

#include <condition_variable>
#include <csignal>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace {

struct Job {
    const std::function<void(int)>* work;
    int wanted;       // helpers that may still join
    int joined = 1;   // the caller is number 0
    int running = 0;
};

class Helpers {
   public:
    void with(int count, const std::function<void(int)>& work) {
        Job job{&work, count};
        {
            std::lock_guard lock(mutex_);
            while ((int)threads_ < count && threads_ < kMost) start();
            jobs_.push_back(&job);
        }
        for (int i = 0; i < count; i++) wake_.notify_one();
        work(0);
        std::unique_lock lock(mutex_);
        std::erase(jobs_, &job);  // whoever has not come yet stays away
        left_.wait(lock, [&] { return job.running == 0; });
    }

   private:
    static constexpr int kMost = 256;

    void start() {
        // signals are the caller's business
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        std::thread([this] { serve(); }).detach();
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        threads_++;
    }

    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return !jobs_.empty(); });
            Job* job = jobs_.front();
            const int number = job->joined++;
            job->running++;
            if (--job->wanted == 0) std::erase(jobs_, job);
            lock.unlock();
            (*job->work)(number);
            lock.lock();
            if (--job->running == 0) left_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, left_;
    std::vector<Job*> jobs_;
    int threads_ = 0;
};

// Never destroyed: helpers may outlive the interpreter's last lines. After a fork the child has none of them, and their mutex may be locked for ever.
Helpers* helpers = nullptr;
std::mutex making;

Helpers& all_helpers() {
    std::lock_guard lock(making);
    if (!helpers) {
        static const int registered = pthread_atfork([] { making.lock(); }, [] { making.unlock(); }, [] {
            helpers = nullptr;
            making.unlock();
        });
        (void)registered;
        helpers = new Helpers;
    }
    return *helpers;
}

}  // namespace

void with_helpers(int count, const std::function<void(int)>& work) {
    if (count <= 0) return work(0);
    all_helpers().with(count, work);
}
