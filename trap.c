#include <quarry/slab.h>
#include <quarry/page.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <stdlib.h>
#include <stdio.h>
#include <stddef.h>
int main(int c,char**v){
  __free_page(alloc_page(GFP_KERNEL));
  free(malloc(12<<20));
  struct sock_filter f[]={BPF_STMT(BPF_LD|BPF_W|BPF_ABS,0),BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K,SYS_exit_group,0,1),BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_ALLOW),BPF_STMT(BPF_RET|BPF_K,SECCOMP_RET_TRAP)};
  struct sock_fprog p={4,f};
  prctl(PR_SET_NO_NEW_PRIVS,1,0,0,0); prctl(PR_SET_SECCOMP,SECCOMP_MODE_FILTER,&p);
  for (size_t s=1;s<5000000;s+=s/8+1){
    char*b=kzalloc(s,GFP_ATOMIC);
    kfree(kmalloc(s,GFP_NOWAIT));
    b=krealloc(b,s/2+1,GFP_ATOMIC);
    kfree(b);
  }
  syscall(SYS_exit_group,0);
}
